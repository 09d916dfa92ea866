"""What nobody else may read, and what nobody else may write: encryption with age, and Ed25519 signatures."""
