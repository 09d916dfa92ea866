"""The one door to DuckDB: references and inventories as tables, and the set algebra between them."""
