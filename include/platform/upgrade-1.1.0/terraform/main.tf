# The workers on ECS and their Redis. The api goes to Lambda by ../serverless.

resource "aws_elasticache_subnet_group" "risk" {
  name       = "${var.name}-risk"
  subnet_ids = var.subnet_ids
}

resource "aws_elasticache_replication_group" "risk" {
  replication_group_id       = "${var.name}-risk"
  description                = "Risk state of the workers"
  engine                     = "redis"
  node_type                  = "cache.t4g.small"
  num_cache_clusters         = 2
  automatic_failover_enabled = true
  transit_encryption_enabled = true
  at_rest_encryption_enabled = true
  auth_token                 = var.redis_auth_token
  subnet_group_name          = aws_elasticache_subnet_group.risk.name
  security_group_ids         = var.security_group_ids
}

resource "aws_ecs_task_definition" "workers" {
  family                   = "${var.name}-workers"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 512
  execution_role_arn       = var.execution_role_arn
  container_definitions = jsonencode([{
    name      = "workers"
    image     = var.workers_image
    essential = true
    environment = [
      { name = "HOST", value = "0.0.0.0" },
      { name = "PORT", value = "8000" },
      { name = "DEPLOY_ENV", value = "production" },
      { name = "EXPOSURE_LIMIT", value = tostring(var.exposure_limit) },
    ]
    secrets     = [{ name = "REDIS_URL", valueFrom = "${var.secrets_arn}:REDIS_URL::" }]
    stopTimeout = 15
  }])
}

resource "aws_ecs_service" "workers" {
  name            = "${var.name}-workers"
  cluster         = var.cluster_arn
  task_definition = aws_ecs_task_definition.workers.arn
  desired_count   = var.workers_replicas
  launch_type     = "FARGATE"

  network_configuration {
    subnets         = var.subnet_ids
    security_groups = var.security_group_ids
  }
}
