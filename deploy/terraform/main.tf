data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_eks_cluster" "this" {
  name = var.cluster_name
}

data "aws_iam_openid_connect_provider" "this" {
  url = data.aws_eks_cluster.this.identity[0].oidc[0].issuer
}

# What is said in JSON and YAML has no provider, and is tested for itself.
module "documents" {
  source = "./modules/documents"

  account_id                = data.aws_caller_identity.current.account_id
  partition                 = data.aws_partition.current.partition
  oidc_provider_arn         = data.aws_iam_openid_connect_provider.this.arn
  oidc_issuer               = data.aws_eks_cluster.this.identity[0].oidc[0].issuer
  role_arn                  = aws_iam_role.this.arn
  cluster_name              = var.cluster_name
  aws_region                = var.aws_region
  namespace                 = var.namespace
  release_name              = var.release_name
  sampling_rate_percentage  = var.sampling_rate_percentage
  amp_remote_write_endpoint = var.amp_remote_write_endpoint
  image_repository          = var.image_repository
  image_tag                 = var.image_tag
}

resource "aws_iam_role" "this" {
  name                 = coalesce(var.role_name, "moontail-${var.cluster_name}")
  description          = "moontail in cluster ${var.cluster_name}"
  assume_role_policy   = module.documents.trust_policy
  permissions_boundary = var.permissions_boundary
  tags                 = var.tags
}

resource "aws_iam_role_policy" "this" {
  name   = "write"
  role   = aws_iam_role.this.id
  policy = module.documents.policy
}

resource "helm_release" "this" {
  name             = var.release_name
  namespace        = var.namespace
  create_namespace = true
  chart            = coalesce(var.chart, "${path.module}/../helm/moontail")
  values           = concat([module.documents.values], var.values)

  depends_on = [aws_iam_role_policy.this]
}
