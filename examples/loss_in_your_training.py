"""Use BiRA-Net and the grading loss as modules in a training of your own."""

import torch

import biranet
from biranet.config import ModelConfig

torch.manual_seed(0)
model = biranet.build_model(ModelConfig(backbone="test_resnet", pretrained=False, freeze="none"))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
images, grades = torch.rand(10, 3, 96, 96), torch.arange(10) % 5

for step in range(12):
    output = model(images)
    loss = biranet.grading_loss(output.logits, grades, scale="unit")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 4 == 3:
        print(f"step {step + 1}: loss {loss.item():.3f}, attention {tuple(output.attention.shape)}")
