"""The registrar's process: rights, application, public notice, certificate (2026 national guideline)."""
