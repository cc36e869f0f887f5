"""What `inference.py` imports of SageMaker's inference toolkit."""
