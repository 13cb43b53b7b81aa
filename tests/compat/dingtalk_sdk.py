"""The PyPI package dingtalk-sdk as a filter: JSON lines in, JSON lines out.

    dingtalk_sdk.py decrypt --token T --aes-key K --owner ID
        in:  {"signature": …, "timestamp": …, "nonce": …, "encrypt": …}
        out: {"message": …}

    dingtalk_sdk.py encrypt --token T --aes-key K --owner ID
        in:  {"message": …}, and "nonce" and "timestamp" where they should not be invented
        out: {"signature": …, "timestamp": …, "nonce": …, "encrypt": …}

    dingtalk_sdk.py read --url URL --corp-id C --app-key K --app-secret S
        out: one line with the departments, and one with the events that failed
"""

import argparse
import json
import sys

from dingtalk import AppKeyClient
from dingtalk.crypto import DingTalkCrypto


def decrypt(crypto, line):
    message = crypto.decrypt_message(
        {"encrypt": line["encrypt"]}, line["signature"], line["timestamp"], line["nonce"]
    )
    return {"message": message}


def encrypt(crypto, line):
    sealed = crypto.encrypt_message(line["message"], line.get("nonce"), line.get("timestamp"))
    return {
        "signature": sealed["msg_signature"],
        "timestamp": sealed["timeStamp"],
        "nonce": sealed["nonce"],
        "encrypt": sealed["encrypt"],
    }


def read(arguments):
    class Client(AppKeyClient):
        API_BASE_URL = arguments.url + "/"

    client = Client(arguments.corp_id, arguments.app_key, arguments.app_secret)
    yield {"departments": client.department.list(fetch_child=True)}
    yield {"failed": client.callback.get_call_back_failed_result()}


def parse():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("decrypt", "encrypt"):
        command = commands.add_parser(name)
        for option in ("--token", "--aes-key", "--owner"):
            command.add_argument(option, required=True)
    command = commands.add_parser("read")
    for option in ("--url", "--corp-id", "--app-key", "--app-secret"):
        command.add_argument(option, required=True)
    return parser.parse_args()


def results(arguments):
    if arguments.command == "read":
        yield from read(arguments)
        return
    crypto = DingTalkCrypto(arguments.token, arguments.aes_key, arguments.owner)
    work = {"decrypt": decrypt, "encrypt": encrypt}[arguments.command]
    for line in sys.stdin:
        yield work(crypto, json.loads(line))


def main():
    sys.stdin.reconfigure(encoding="utf-8")
    sys.stdout.reconfigure(encoding="utf-8")
    for result in results(parse()):
        print(json.dumps(result, ensure_ascii=False))


if __name__ == "__main__":
    main()
