variable "cluster_name" {
  description = "The EKS cluster; also the attribute cluster_name of every kept span."
  type        = string
}

variable "aws_region" {
  description = "Where the cluster is, and where traces go."
  type        = string
}

variable "namespace" {
  description = "The namespace of Kubernetes, made if it is not there."
  type        = string
  default     = "observability"
}

variable "sampling_rate_percentage" {
  description = "Of the traces that are neither failed nor slow, so many percent are kept."
  type        = number
  default     = 10

  validation {
    condition     = var.sampling_rate_percentage >= 0 && var.sampling_rate_percentage <= 100
    error_message = "sampling_rate_percentage is from 0 to 100."
  }
}

variable "amp_remote_write_endpoint" {
  description = "Amazon Managed Service for Prometheus: its remote write URL. The role may write to this workspace, and pods find the URL in AMP_REMOTE_WRITE_ENDPOINT. Empty: neither."
  type        = string
  default     = ""

  validation {
    condition     = var.amp_remote_write_endpoint == "" || can(regex("^https://aps-workspaces[.][a-z0-9-]+[.]amazonaws[.]com(?:[.]cn)?/workspaces/ws-[0-9a-f-]+/api/v1/remote_write$", var.amp_remote_write_endpoint))
    error_message = "amp_remote_write_endpoint is https://aps-workspaces.REGION.amazonaws.com/workspaces/ws-ID/api/v1/remote_write."
  }
}

variable "release_name" {
  description = "Of the chart; the service account has the same name."
  type        = string
  default     = "moontail"
}

variable "role_name" {
  description = "Of the role in IAM. Empty: moontail-CLUSTER."
  type        = string
  default     = ""
}

variable "permissions_boundary" {
  description = "ARN of a permissions boundary for the role, where the account asks for one."
  type        = string
  default     = null
}

variable "image_repository" {
  description = "Where the image is, such as 123456789012.dkr.ecr.eu-central-1.amazonaws.com/moontail."
  type        = string
}

variable "image_tag" {
  description = "Empty: the chart's appVersion."
  type        = string
  default     = ""
}

variable "chart" {
  description = "The chart: a folder or a repository's. Empty: the one beside this module."
  type        = string
  default     = ""
}

variable "values" {
  description = "Further values of the chart, each a text of YAML; later ones win."
  type        = list(string)
  default     = []
}

variable "tags" {
  description = "Of the role."
  type        = map(string)
  default     = {}
}
