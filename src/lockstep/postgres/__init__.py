"""PostgreSQL: the only import of psycopg, the only caller of pg_dump and its kin."""
