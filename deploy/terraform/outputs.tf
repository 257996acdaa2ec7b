output "endpoint" {
  description = "OTEL_EXPORTER_OTLP_ENDPOINT for OTLP over HTTP, from within the cluster."
  value       = module.documents.endpoint
}

output "grpc_endpoint" {
  description = "The same for OTLP over gRPC."
  value       = module.documents.grpc_endpoint
}

output "role_arn" {
  description = "The role that the pods take."
  value       = aws_iam_role.this.arn
}
