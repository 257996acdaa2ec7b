// send.mjs ENDPOINT PROTOCOL COMPRESSION TRACES: sends traces as an application does.
import { SpanKind, SpanStatusCode, context, trace } from "@opentelemetry/api";
import { OTLPTraceExporter as Grpc } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as Json } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as Proto } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";

const [endpoint, protocol, compression, traces] = process.argv.slice(2);
const Exporter = { grpc: Grpc, "http/json": Json, "http/protobuf": Proto }[protocol];
const url = protocol === "grpc" ? endpoint : `${endpoint}/v1/traces`;
const exporter = new Exporter({ url, compression, timeoutMillis: 20000 });
const processor = new BatchSpanProcessor({ exporter, exportTimeoutMillis: 25000 });
const provider = new TracerProvider({
  resource: resourceFromAttributes({ "service.name": "interop-node" }),
  spanProcessors: [processor],
});
const tracer = provider.getTracer("interop", "1.0");

for (let i = 0; i < Number(traces); i++) {
  const parent = tracer.startSpan("parent", { kind: SpanKind.SERVER });
  parent.setAttributes({ text: "é", whole: 42, real: 0.5, yes: true, list: ["a", "b"] });
  parent.setAttribute("cut", "moon\u{1f31d}".slice(0, 5)); // half a character is left
  parent.addEvent("happened", { key: "value" });
  const inner = trace.setSpan(context.active(), parent);
  const child = tracer.startSpan("child", { kind: SpanKind.CLIENT, links: [{ context: parent.spanContext() }] }, inner);
  child.setStatus({ code: SpanStatusCode.ERROR, message: "failed" });
  child.end();
  parent.end();
}
await provider.forceFlush().catch((e) => console.error(String(e)));
await provider.shutdown().catch(() => {});
