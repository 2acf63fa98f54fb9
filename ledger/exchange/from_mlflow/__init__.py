"""Reading what MLflow has written, in a folder or a database, without MLflow: `tally import mlflow`."""
