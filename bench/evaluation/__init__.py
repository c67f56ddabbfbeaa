"""What is measured on a trained model, each number with its error or its chance level."""
