"""Log a training with MLflow, here into a file of SQLite: pip install mlflow."""

import tempfile
from pathlib import Path

import mlflow

import biranet
from biranet.photos.drawn.synthetic import draw_folder
from biranet.photos.folder import prepare_folder

folder = Path(tempfile.mkdtemp())
labels = draw_folder(folder / "photos", 40, seed=1, width_px=160, height_px=128)
# As by: biranet prepare photos prepared --labels photos/labels.csv --size 64
prepare_folder(folder / "photos", folder / "prepared", labels=labels, size_px=64, workers=0)

config = biranet.TrainConfig(
    model=biranet.ModelConfig(backbone="test_resnet", pretrained=False, freeze="none"),
    data=biranet.DataConfig(image_size=64, batch_size=8, workers=0),
    epochs=2,
    device="cpu",
)


def on_epoch(result):
    mlflow.log_metrics(result.metrics, step=result.epoch)


mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
with mlflow.start_run() as logged:
    mlflow.log_params({"lr": config.optimizer.lr, "backbone": config.model.backbone})
    biranet.train(folder / "prepared", folder / "run", config, on_epoch=on_epoch)
kappas = mlflow.MlflowClient().get_metric_history(logged.info.run_id, "validation_kappa")
print("validation kappa by epoch:", ", ".join(f"{each.value:.3f}" for each in kappas))
