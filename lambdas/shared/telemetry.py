"""The one logger and the one set of metrics; the service name is the step's folder, the stage tells stages apart."""

from __future__ import annotations

import os

from aws_lambda_powertools import Logger, Metrics

NAMESPACE = "VisionDistillation"

logger = Logger()
metrics = Metrics(namespace=NAMESPACE)
metrics.set_default_dimensions(stage=os.environ.get("STAGE", "none"))
