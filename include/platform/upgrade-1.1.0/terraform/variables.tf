variable "name" {
  description = "Prefix of every resource's name"
  type        = string
  default     = "top-tier-trading"
}

variable "subnet_ids" {
  description = "Private subnets, at least two, for the workers and Redis"
  type        = list(string)
  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "Expected at least two subnets."
  }
}

variable "security_group_ids" {
  description = "Security groups of the workers and Redis"
  type        = list(string)
}

variable "cluster_arn" {
  description = "ECS cluster that the workers run in"
  type        = string
}

variable "execution_role_arn" {
  description = "Role that pulls images and reads the secrets"
  type        = string
}

variable "workers_image" {
  description = "Image of the workers, by digest"
  type        = string
  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.workers_image))
    error_message = "Expected an image by digest, name@sha256:…"
  }
}

variable "workers_replicas" {
  description = "Number of workers"
  type        = number
  default     = 3
}

variable "secrets_arn" {
  description = "Secrets Manager entry that holds the variables of .env.example"
  type        = string
}

variable "redis_auth_token" {
  description = "Password of Redis"
  type        = string
  sensitive   = true
}

variable "exposure_limit" {
  description = "Largest absolute exposure per symbol, in quote currency"
  type        = number
  default     = 1000000
}
