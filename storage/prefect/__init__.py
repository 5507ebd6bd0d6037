"""Reading the database of a Prefect 3 server."""
