// main ENDPOINT PROTOCOL COMPRESSION TRACES: sends traces as an application does.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func exporter(ctx context.Context, endpoint, protocol, compression string) (*otlptrace.Exporter, error) {
	if protocol == "grpc" {
		options := []otlptracegrpc.Option{otlptracegrpc.WithEndpointURL(endpoint), otlptracegrpc.WithTimeout(20 * time.Second)}
		if compression == "gzip" {
			options = append(options, otlptracegrpc.WithCompressor("gzip"))
		}
		return otlptracegrpc.New(ctx, options...)
	}
	options := []otlptracehttp.Option{otlptracehttp.WithEndpointURL(endpoint + "/v1/traces"), otlptracehttp.WithTimeout(20 * time.Second)}
	if compression == "gzip" {
		options = append(options, otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
	}
	return otlptracehttp.New(ctx, options...)
}

func sendTrace(ctx context.Context, tracer trace.Tracer) {
	ctx, parent := tracer.Start(ctx, "parent", trace.WithSpanKind(trace.SpanKindServer))
	parent.SetAttributes(attribute.String("text", "é"), attribute.Int("whole", 42), attribute.Float64("real", 0.5),
		attribute.Bool("yes", true), attribute.StringSlice("list", []string{"a", "b"}))
	parent.AddEvent("happened", trace.WithAttributes(attribute.String("key", "value")))
	_, child := tracer.Start(ctx, "child", trace.WithSpanKind(trace.SpanKindClient),
		trace.WithLinks(trace.Link{SpanContext: parent.SpanContext()}))
	child.SetStatus(codes.Error, "failed")
	child.End()
	parent.End()
}

func main() {
	ctx := context.Background()
	traces, err := strconv.Atoi(os.Args[4])
	if err != nil {
		panic(err)
	}
	e, err := exporter(ctx, os.Args[1], os.Args[2], os.Args[3])
	if err != nil {
		panic(err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(e, sdktrace.WithExportTimeout(25*time.Second)),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "interop-go"))))
	tracer := provider.Tracer("interop", trace.WithInstrumentationVersion("1.0"))
	for i := 0; i < traces; i++ {
		sendTrace(ctx, tracer)
	}
	if err := provider.ForceFlush(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	_ = provider.Shutdown(ctx)
}
