"""Read what a training wrote for TensorBoard, whose curves are those of history.jsonl."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

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
biranet.train(folder / "prepared", folder / "run", config)

board = EventAccumulator(str(folder / "run" / "tensorboard")).Reload()
for name in board.Tags()["scalars"]:
    print(name, ", ".join(f"{each.value:.4f}" for each in board.Scalars(name)))
history = [json.loads(line) for line in (folder / "run" / "history.jsonl").read_text().splitlines()]
print("the same, to more digits:", [row["validation_loss"] for row in history])
