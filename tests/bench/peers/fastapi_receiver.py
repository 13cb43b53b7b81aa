"""A receiver as companies write it: FastAPI, dingtalk-sdk, one commit for each event before the reply."""

import json
import os
import sqlite3

import uvicorn
from dingtalk.crypto import DingTalkCrypto
from fastapi import FastAPI, Request

crypto = DingTalkCrypto(os.environ["TOKEN"], os.environ["AES_KEY"], os.environ["OWNER_KEY"])

database = sqlite3.connect(os.environ["DATABASE"])
database.execute("PRAGMA journal_mode = WAL")
database.execute("PRAGMA synchronous = FULL")
database.execute("CREATE TABLE inbox (id INTEGER PRIMARY KEY, event_type TEXT NOT NULL, message TEXT NOT NULL)")

app = FastAPI()


@app.post("/callback")
async def callback(request: Request, signature: str, timestamp: str, nonce: str):
    message = crypto.decrypt_message(await request.body(), signature, timestamp, nonce)
    database.execute(
        "INSERT INTO inbox (event_type, message) VALUES (?, ?)", (json.loads(message)["EventType"], message)
    )
    database.commit()
    return crypto.encrypt_message("success")


uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning", access_log=False)
