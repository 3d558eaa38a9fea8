"""What the workers do with orders. Nothing here listens, logs or reads the environment."""
