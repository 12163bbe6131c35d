"""What runs on AWS Lambda: one folder a step, and what the steps share."""
