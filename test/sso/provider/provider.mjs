// SPDX-License-Identifier: Apache-2.0
//
// A certified OpenID provider (npm oidc-provider) for the round trips. Everything comes
// from the environment:
//   MODULES    folder with node_modules
//   LISTEN     host:port; ISSUER its address, http on loopback
//   REDIRECTS  redirect addresses of the client "bridge", separated by blanks
//   SECRET     the client's secret; AUTH its authentication method
//   JWKS       for private_key_jwt the client's public keys
//   THIN       "yes": claims of a person come from userinfo alone
//   KEYS       the provider's signing keys, a JWKS; none: the package's own
// The person is named by login_hint, alice without one.
import http from 'node:http'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const env = process.env
const require = createRequire(env.MODULES + '/here.js')
const { Provider } = await import(pathToFileURL(require.resolve('oidc-provider')))

const people = {
  alice: { sub: 'alice', email: 'alice@corp.test', email_verified: true, name: 'Alice Liddell', groups: ['eng', 'admins'] },
  bob: { sub: 'bob', email: 'bob@corp.test', email_verified: true, name: 'Bob <b>Builder</b>', groups: ['eng'] },
  mallory: { sub: 'mallory', email: 'alice@corp.test', email_verified: false, name: 'Mallory' },
  carol: { sub: 'carol', email: 'carol@form.test', email_verified: true, name: 'Carol Reed' },
  nomail: { sub: 'nomail', name: 'No Mail' },
}
const nameOf = (hint) => (hint ?? 'alice').split('@')[0]

const client = {
  client_id: 'bridge', redirect_uris: env.REDIRECTS.split(' '), response_types: ['code'], grant_types: ['authorization_code'],
  token_endpoint_auth_method: env.AUTH ?? 'client_secret_basic',
}
if (env.JWKS) client.jwks = JSON.parse(env.JWKS)
else client.client_secret = env.SECRET

const provider = new Provider(env.ISSUER, {
  clients: [client],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
  scopes: ['openid', 'email', 'profile', 'groups'],
  conformIdTokenClaims: env.THIN === 'yes',
  pkce: { required: () => true },
  cookies: { keys: ['a cookie key of a test'] },
  features: { devInteractions: { enabled: false } },
  ...(env.KEYS ? { jwks: JSON.parse(env.KEYS) } : {}),
  findAccount: (_, id) => people[id] && { accountId: id, claims: () => people[id] },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
})
const callback = provider.callback()

const [host, port] = env.LISTEN.split(':')
http.createServer(async (req, res) => {
  try {
    if (!req.url.startsWith('/interaction/')) return callback(req, res)
    const { params } = await provider.interactionDetails(req, res)
    const accountId = nameOf(params.login_hint)
    if (!people[accountId]) {
      return await provider.interactionFinished(req, res, { error: 'access_denied', error_description: 'nobody of that name' })
    }
    const grant = new provider.Grant({ accountId, clientId: params.client_id })
    grant.addOIDCScope(params.scope)
    await provider.interactionFinished(req, res, { login: { accountId }, consent: { grantId: await grant.save() } })
  } catch (failure) {
    console.error(failure)
    res.statusCode = 500
    res.end()
  }
}).listen(Number(port), host, () => console.log('listening'))
