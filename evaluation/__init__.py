"""Evaluation on held-out nights: protocols, cross-validation, stress tests, reports and saliency."""
