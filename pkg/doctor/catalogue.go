// SPDX-License-Identifier: Apache-2.0

package doctor

// The ids of the checks that both services share. Each stands in docs/operating/doctor.md.
const (
	Settings            = "settings"
	PostgresReachable   = "postgres.reachable"
	PostgresVersion     = "postgres.version"
	PostgresPrimary     = "postgres.primary"
	PostgresConnections = "postgres.connections"
	PostgresTLS         = "postgres.tls"
	PostgresRights      = "postgres.rights"
	RedisReachable      = "redis.reachable"
	RedisVersion        = "redis.version"
	RedisPrimary        = "redis.primary"
	RedisTopology       = "redis.topology"
	RedisEviction       = "redis.eviction"
	RedisMemory         = "redis.memory"
	RedisPersistence    = "redis.persistence"
	RedisTLS            = "redis.tls"
	Schema              = "schema"
	KeysCanary          = "keys.canary"
	KeysSealing         = "keys.sealing"
	KeysetPeer          = "keyset.peer"
	KeysetSigned        = "keyset.signed"
	ReplicaReady        = "replica.ready"
	ReplicaKeyset       = "replica.keyset"
	Clock               = "clock"
	AddressName         = "address.name"
	AddressTLS          = "address.tls"
	AddressOurs         = "address.ours"
	AddressInner        = "address.inner"
	CertificateOwn      = "certificate.own"
	CertificateRoots    = "certificate.roots"
	Proxies             = "proxies"
	DataDirectory       = "data.directory"
	DataSpace           = "data.space"
	FilesModes          = "files.modes"
	FilesLimit          = "files.limit"
)

// Entry is a check as the reference lists it.
type Entry struct{ ID, What string }

// Shared are the checks that both services share.
func Shared() []Entry {
	return []Entry{
		{Settings, "the settings load; each warning that a start would log"},
		{PostgresReachable, "the database of DATABASE_URL answers"},
		{PostgresVersion, "it is a version that is tested"},
		{PostgresPrimary, "it takes writes: no standby, not read-only"},
		{PostgresConnections, "DATABASE_MAX_CONNS of this process fits into what is free of max_connections"},
		{PostgresTLS, "the connection is encrypted where it leaves the machine"},
		{PostgresRights, "the role may do what the service does, and is no superuser"},
		{RedisReachable, "every Redis that takes writes answers"},
		{RedisVersion, "it is a version that is tested"},
		{RedisPrimary, "it is a primary"},
		{RedisTopology, "it is what REDIS_MODE says, and a cluster serves every slot"},
		{RedisEviction, "maxmemory-policy is noeviction"},
		{RedisMemory, "there is memory left below maxmemory"},
		{RedisPersistence, "a restart of Redis forgets nothing: an append-only file, or replicas"},
		{RedisTLS, "the connection is encrypted where it leaves the machine"},
		{Schema, "the schema fits this program, nothing is pending"},
		{KeysCanary, "SECRET_KEY and the sealing keys are those of the database, and so of every process on it"},
		{KeysSealing, "how many sealing keys there are: a second one waits for the end of a rotation"},
		{KeysetPeer, "the other service holds the same key set"},
		{KeysetSigned, "the other service takes a message that is signed with it"},
		{ReplicaReady, "each process that was named is ready"},
		{ReplicaKeyset, "each holds the same key set as this command"},
		{Clock, "the clocks of the stores, the other service and the replicas agree with this one"},
		{AddressName, "the host of the public address resolves"},
		{AddressTLS, "its certificate is good, and for how long"},
		{AddressOurs, "what answers there is this service, of this version"},
		{AddressInner, "the second listener's paths are not there"},
		{CertificateOwn, "the certificate of TLS_CERT_FILE is good, and for how long"},
		{CertificateRoots, "the roots that files name are good"},
		{Proxies, "TRUSTED_PROXIES names the proxy that ends TLS"},
		{DataDirectory, "DATA_DIR belongs to the service alone"},
		{DataSpace, "there is room on its file system"},
		{FilesModes, "no file of secrets is open to everybody"},
		{FilesLimit, "the process may open as many files as MAX_CONNECTIONS asks for"},
	}
}
