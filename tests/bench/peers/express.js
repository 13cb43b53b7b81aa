// A receiver as companies write it: Express, wx-ding-aes, one commit for each event before the reply.
const { createHash } = require('node:crypto')
const { DatabaseSync } = require('node:sqlite')
const express = require('express')
const aes = require('wx-ding-aes')

const { PORT, DATABASE, TOKEN, AES_KEY, OWNER_KEY } = process.env

const database = new DatabaseSync(DATABASE)
database.exec('PRAGMA journal_mode = WAL')
database.exec('PRAGMA synchronous = FULL')
database.exec('CREATE TABLE inbox (id INTEGER PRIMARY KEY, event_type TEXT NOT NULL, message TEXT NOT NULL)')
const store = database.prepare('INSERT INTO inbox (event_type, message) VALUES (?, ?)')

const sign = (timestamp, nonce, encrypt) =>
  createHash('sha1').update([TOKEN, timestamp, nonce, encrypt].sort().join('')).digest('hex')

const app = express()
app.use(express.json())
app.post('/callback', (request, response) => {
  const { signature, timestamp, nonce } = request.query
  const { encrypt } = request.body
  if (sign(timestamp, nonce, encrypt) !== signature) {
    response.sendStatus(403)
    return
  }
  const message = aes.decode(encrypt, AES_KEY)
  store.run(JSON.parse(message).EventType, message)
  const reply = { timeStamp: String(Date.now()), nonce: Math.random().toString(36).slice(2, 10) }
  reply.encrypt = aes.encode('success', AES_KEY, OWNER_KEY)
  reply.msg_signature = sign(reply.timeStamp, reply.nonce, reply.encrypt)
  response.json(reply)
})
app.listen(Number(PORT), '127.0.0.1')
