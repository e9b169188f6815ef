"""What a trained model is for: samples, predictions, styles, exports."""
