variables {
  account_id                = "123456789012"
  partition                 = "aws"
  oidc_provider_arn         = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/ABC"
  oidc_issuer               = "https://oidc.eks.eu-central-1.amazonaws.com/id/ABC"
  role_arn                  = "arn:aws:iam::123456789012:role/moontail-prod"
  cluster_name              = "prod"
  aws_region                = "eu-central-1"
  namespace                 = "observability"
  release_name              = "moontail"
  sampling_rate_percentage  = 5
  amp_remote_write_endpoint = ""
  image_repository          = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/moontail"
  image_tag                 = ""
}

run "the_role_writes_traces_and_nothing_else" {
  command = plan

  assert {
    condition     = jsondecode(output.policy).Statement[*].Action == [["xray:PutTraceSegments", "xray:PutTelemetryRecords"]]
    error_message = output.policy
  }
}

run "the_role_writes_metrics_to_one_workspace" {
  command = plan

  variables {
    amp_remote_write_endpoint = "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-12ab-34/api/v1/remote_write"
  }

  assert {
    condition     = jsondecode(output.policy).Statement[1].Action == ["aps:RemoteWrite"] && jsondecode(output.policy).Statement[1].Resource == "arn:aws:aps:eu-west-1:123456789012:workspace/ws-12ab-34"
    error_message = output.policy
  }

  assert {
    condition     = yamldecode(output.values).extraEnvs[0].value == var.amp_remote_write_endpoint
    error_message = output.values
  }
}

run "one_service_account_takes_the_role" {
  command = plan

  assert {
    condition = jsondecode(output.trust_policy).Statement[0].Condition.StringEquals == {
      "oidc.eks.eu-central-1.amazonaws.com/id/ABC:aud" = "sts.amazonaws.com"
      "oidc.eks.eu-central-1.amazonaws.com/id/ABC:sub" = "system:serviceaccount:observability:moontail"
    }
    error_message = output.trust_policy
  }

  assert {
    condition     = yamldecode(output.values).serviceAccount == { name = "moontail", annotations = { "eks.amazonaws.com/role-arn" = var.role_arn } }
    error_message = output.values
  }
}

run "the_chart_gets_rate_region_and_cluster" {
  command = plan

  assert {
    condition     = yamldecode(output.values).sampling.percentage == 5 && yamldecode(output.values).exporters.xray.region == "eu-central-1" && yamldecode(output.values).clusterName == "prod"
    error_message = output.values
  }

  assert {
    condition     = output.endpoint == "http://moontail.observability.svc.cluster.local:4318"
    error_message = output.endpoint
  }
}
