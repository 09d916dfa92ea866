"""The whole story on one machine: a deployment in the shape of Parsec's is made, backed up, destroyed, restored and compared."""
