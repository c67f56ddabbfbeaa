"""What MLflow is told through its environment, before it is imported."""

ENVIRONMENT = {
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # We try again ourselves, and look first whether a run was created whose answer got lost;
    # MLflow would create it twice. Its own patience with a dead server is 7 retries of 120 seconds.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
