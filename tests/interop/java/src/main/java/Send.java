import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Context;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.exporter.otlp.trace.OtlpGrpcSpanExporter;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.export.BatchSpanProcessor;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Send ENDPOINT PROTOCOL COMPRESSION TRACES: sends traces as an application does. */
public final class Send {
  private static SpanExporter exporter(String endpoint, String protocol, String compression) {
    Duration timeout = Duration.ofSeconds(20);
    if (protocol.equals("grpc")) {
      return OtlpGrpcSpanExporter.builder()
          .setEndpoint(endpoint)
          .setCompression(compression)
          .setTimeout(timeout)
          .build();
    }
    return OtlpHttpSpanExporter.builder()
        .setEndpoint(endpoint + "/v1/traces")
        .setCompression(compression)
        .setTimeout(timeout)
        .build();
  }

  private static void sendTrace(Tracer tracer) {
    Span parent = tracer.spanBuilder("parent").setSpanKind(SpanKind.SERVER).startSpan();
    parent.setAttribute("text", "é");
    parent.setAttribute("whole", 42);
    parent.setAttribute("real", 0.5);
    parent.setAttribute("yes", true);
    parent.setAttribute(AttributeKey.stringArrayKey("list"), List.of("a", "b"));
    parent.addEvent("happened", Attributes.of(AttributeKey.stringKey("key"), "value"));
    Span child =
        tracer
            .spanBuilder("child")
            .setSpanKind(SpanKind.CLIENT)
            .setParent(Context.root().with(parent))
            .addLink(parent.getSpanContext())
            .startSpan();
    child.setStatus(StatusCode.ERROR, "failed");
    child.end();
    parent.end();
  }

  public static void main(String[] args) {
    BatchSpanProcessor processor =
        BatchSpanProcessor.builder(exporter(args[0], args[1], args[2]))
            .setExporterTimeout(Duration.ofSeconds(25))
            .build();
    SdkTracerProvider provider =
        SdkTracerProvider.builder()
            .addSpanProcessor(processor)
            .setResource(
                Resource.create(
                    Attributes.of(AttributeKey.stringKey("service.name"), "interop-java")))
            .build();
    Tracer tracer = provider.tracerBuilder("interop").setInstrumentationVersion("1.0").build();
    for (int i = 0; i < Integer.parseInt(args[3]); i++) {
      sendTrace(tracer);
    }
    provider.forceFlush().join(30, TimeUnit.SECONDS);
    provider.shutdown().join(10, TimeUnit.SECONDS);
  }
}
