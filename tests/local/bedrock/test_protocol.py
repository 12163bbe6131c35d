from __future__ import annotations

import pytest

from local.bedrock.protocol import BedrockError, ModelViolation, check_error, check_response, routes


def test_response_or_error_that_bedrock_cannot_return_is_refused() -> None:
    create = next(route for route in routes() if route.name == "CreateCustomModelDeployment")
    for response in ({}, {"customModelDeploymentArn": "arn:x"}, {"customModelDeploymentArn": 1}):
        with pytest.raises(ModelViolation, match="CreateCustomModelDeployment"):
            check_response(create, response)
    with pytest.raises(ModelViolation, match="ConflictException"):
        check_error(create, BedrockError("ConflictException", "in use"))
