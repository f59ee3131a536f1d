"""The bundled apps, all on one Ray that ends when their tests do."""
