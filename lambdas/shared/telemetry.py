"""The one logger and the one set of metrics; the service name is the step's folder."""

from __future__ import annotations

from aws_lambda_powertools import Logger, Metrics

logger = Logger()
metrics = Metrics(namespace="VisionDistillation")
