"""AWS Lambda functions of the pipeline: one file for each function, and runtime.py, which they share."""
