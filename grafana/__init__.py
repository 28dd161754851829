"""What people see: boards as code, emitted as Grafana JSON, and the wall that shows them."""
