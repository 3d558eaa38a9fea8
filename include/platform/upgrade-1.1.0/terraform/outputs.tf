output "redis_endpoint" {
  description = "Host of the primary Redis node"
  value       = aws_elasticache_replication_group.risk.primary_endpoint_address
}
