"""AWS Lambda functions of the pipeline: one file for each state, and runtime.py, which they share."""
