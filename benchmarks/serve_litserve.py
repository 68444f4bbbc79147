"""The model that ships behind LitServe, as people would write it; `serve.py` runs it, in an environment that has it.

python benchmarks/serve_litserve.py PORT WORKERS
"""

import sys
from typing import Any

import cv2
import litserve
from fastapi import UploadFile

import biranet
from biranet.inference.loading import PhotoTask, load_photo


class Api(litserve.LitAPI):
    def setup(self, device: str) -> None:
        cv2.setNumThreads(1)
        self.grader = biranet.load()

    def decode_request(self, request: UploadFile) -> bytes:
        return request.file.read()

    def predict(self, data: bytes) -> Any:
        info = self.grader.info
        loaded = load_photo(
            PhotoTask(data), preparation=info.preparation, image_size=info.image_size, keep_ungradable=False
        )
        [answer] = self.grader.answer([loaded])
        assert answer is not None
        return answer.values()

    def encode_response(self, output: Any) -> Any:
        return output


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=int(sys.argv[2]))
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="error")
