# Policies, the chart's values and addresses, from plain values: no provider is needed.

terraform {
  required_version = ">= 1.6"
}

locals {
  issuer = trimprefix(var.oidc_issuer, "https://")
  # [region, workspace] of the remote write URL.
  workspace = var.amp_remote_write_endpoint == "" ? [] : regex("^https://aps-workspaces[.]([a-z0-9-]+)[.].*/workspaces/(ws-[0-9a-f-]+)/", var.amp_remote_write_endpoint)

  write_traces = {
    Sid      = "WriteTraces"
    Effect   = "Allow"
    Action   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
    Resource = "*"
  }
  write_metrics = [for w in(length(local.workspace) == 2 ? [local.workspace] : []) : {
    Sid      = "WriteMetrics"
    Effect   = "Allow"
    Action   = ["aps:RemoteWrite"]
    Resource = "arn:${var.partition}:aps:${w[0]}:${var.account_id}:workspace/${w[1]}"
  }]

  service = "${var.release_name}.${var.namespace}.svc.cluster.local"
}

output "policy" {
  value = jsonencode({
    Version   = "2012-10-17"
    Statement = concat([local.write_traces], local.write_metrics)
  })
}

output "trust_policy" {
  value = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Federated = var.oidc_provider_arn }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = {
          "${local.issuer}:aud" = "sts.amazonaws.com"
          "${local.issuer}:sub" = "system:serviceaccount:${var.namespace}:${var.release_name}"
        }
      }
    }]
  })
}

output "values" {
  value = yamlencode({
    fullnameOverride = var.release_name
    mode             = "daemonset"
    clusterName      = var.cluster_name
    image            = { repository = var.image_repository, tag = var.image_tag }
    sampling         = { percentage = var.sampling_rate_percentage }
    exporters = {
      debug = { enabled = false }
      xray  = { enabled = true, region = var.aws_region }
    }
    serviceAccount = {
      name        = var.release_name
      annotations = { "eks.amazonaws.com/role-arn" = var.role_arn }
    }
    extraEnvs = [for url in compact([var.amp_remote_write_endpoint]) : { name = "AMP_REMOTE_WRITE_ENDPOINT", value = url }]
  })
}

output "endpoint" {
  value = "http://${local.service}:4318"
}

output "grpc_endpoint" {
  value = "http://${local.service}:4317"
}
