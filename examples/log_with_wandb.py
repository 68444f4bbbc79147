"""Log a training with Weights & Biases, here without account and network: pip install wandb."""

import subprocess
import sys
import tempfile
from pathlib import Path

import wandb
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
with wandb.init(mode="offline", dir=folder, project="biranet", config={"lr": config.optimizer.lr}) as logged:

    def on_epoch(result):
        logged.log(result.metrics, step=result.epoch)

    biranet.train(folder / "prepared", folder / "run", config, on_epoch=on_epoch)
    kappa = logged.summary["validation_kappa"]
print(f"last kappa {kappa:.3f}; send it with: wandb sync {Path(logged.dir).parent}")
