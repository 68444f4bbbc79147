"""Log a training with MLflow, here into a file of SQLite: pip install mlflow."""

import subprocess
import sys
import tempfile
from pathlib import Path

import mlflow
from PIL import Image

import biranet

folder = Path(tempfile.mkdtemp())
for seed in range(40):  # drawn photographs, in a folder for each grade
    file = folder / "photos" / str(seed % 5) / f"{seed}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(biranet.draw_photo(seed % 5, seed, 160, 128)).save(file)
prepare = [sys.executable, "-m", "biranet", "prepare", "photos", "prepared", "--size", "64", "--workers", "0"]
subprocess.run(prepare, cwd=folder, check=True, capture_output=True)

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
