"""Evaluation on nights that were held out: protocols, cross-validation, reports and saliency."""
