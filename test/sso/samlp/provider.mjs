// SPDX-License-Identifier: Apache-2.0
//
// npm samlp for the round trips: a provider without a login page, many in one process.
// Everything comes from the environment:
//   MODULES   folder with node_modules
//   LISTEN    host:port; URL its address
//   VARIANTS  a JSON object: the name of a provider, which is the first part of its path,
//             and how its options of samlp.auth differ
//   KEY, CERT PEM of the key that all of them sign with
// What is not an option of samlp: "postOnly" offers no Redirect binding, "loses" forgets
// RelayState, "fails" answers every request with a status of failure.
// Everybody is alice.
import { createRequire } from 'node:module'

const env = process.env
const require = createRequire(env.MODULES + '/here.js')
const express = require('express')
const samlp = require('samlp')

const variants = JSON.parse(env.VARIANTS)
const alice = (domain) => ({
  id: 'alice', displayName: 'Alice Liddell', name: { givenName: 'Alice', familyName: 'Liddell' }, emails: [{ value: `alice@${domain}` }],
})

const app = express()
app.use(express.urlencoded({ extended: false }))
app.use('/:variant', (req, res, next) => {
  const { acs, postOnly, loses, fails, ...options } = variants[req.params.variant] ?? {}
  if (!acs) return res.status(404).end()
  const issuer = `${env.URL}/${req.params.variant}`
  if (req.path === '/meta') {
    const send = res.send.bind(res)
    res.send = (text) => send(postOnly ? String(text).replace(/<SingleSignOnService[^>]*HTTP-Redirect[^>]*\/>/, '') : text)
    const at = `/${req.params.variant}/sso`
    return samlp.metadata({ issuer, cert: env.CERT, redirectEndpointPath: at, postEndpointPath: at })(req, res, next)
  }
  if (req.path !== '/sso') return res.status(404).end()
  if (loses) delete (req.method === 'POST' ? req.body : req.query).RelayState
  const common = { issuer, cert: env.CERT, key: env.KEY, destination: acs, recipient: acs }
  if (fails) {
    return samlp.parseRequest(req, {}, (failure, request) => failure ? next(failure) : samlp.sendError({
      ...common, inResponseTo: request.id, RelayState: (req.method === 'POST' ? req.body : req.query).RelayState,
      error: { code: 'urn:oasis:names:tc:SAML:2.0:status:Responder', description: 'not today' }, getPostURL: (_, done) => done(null, acs),
    })(req, res, next))
  }
  samlp.auth({
    ...common, ...options, getPostURL: (_audience, _request, _req, done) => done(null, acs),
    getUserFromRequest: () => alice(`${req.params.variant}.test`),
  })(req, res, next)
})

const [host, port] = env.LISTEN.split(':')
app.listen(Number(port), host, () => console.log('listening'))
