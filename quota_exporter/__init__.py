"""Prometheus exporter for the quotas of LLM gateways."""

__version__ = "0.1.0"
