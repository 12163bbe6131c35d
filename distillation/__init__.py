"""Distillation of vision-language models on Amazon Bedrock: the library behind the Lambda functions and ``distill``."""
