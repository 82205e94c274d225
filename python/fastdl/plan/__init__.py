"""Inference plans: whole networks that run without Python between their steps."""
