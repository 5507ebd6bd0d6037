"""The same requests to the reference (prefect 3.8.8) and to Tailrace; the answers are compared."""
