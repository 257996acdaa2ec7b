# As those of the module around this one, and what it has looked up.

variable "account_id" {
  type = string
}

variable "partition" {
  type = string
}

variable "oidc_provider_arn" {
  type = string
}

variable "oidc_issuer" {
  type = string
}

variable "role_arn" {
  type = string
}

variable "cluster_name" {
  type = string
}

variable "aws_region" {
  type = string
}

variable "namespace" {
  type = string
}

variable "release_name" {
  type = string
}

variable "sampling_rate_percentage" {
  type = number
}

variable "amp_remote_write_endpoint" {
  type = string
}

variable "image_repository" {
  type = string
}

variable "image_tag" {
  type = string
}
