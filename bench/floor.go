// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// How the floors find their stores.
const (
	floorDatabase = "BENCH_DATABASE"
	floorRedis    = "BENCH_REDIS"
)

// The pools of the floors, as large as those of core.
const (
	postgresPool = 16
	redisPool    = 32
)

func redisOptions(address string) *redis.Options {
	return &redis.Options{
		Addr: address, PoolSize: redisPool, ContextTimeoutEnabled: true, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// serveFloors answers each floor on a path of its own: bare fiber, no middleware, one
// store trip.
func serveFloors(ctx context.Context, address string) error {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Get("/json", func(c *fiber.Ctx) error { return c.JSON(identity{"subject", "ada@example.com", 1}) })
	if url := os.Getenv(floorRedis); url != "" {
		client := redis.NewClient(redisOptions(url))
		defer func() { _ = client.Close() }()
		redisFloors(app, client)
	}
	if url := os.Getenv(floorDatabase); url != "" {
		cfg, err := pgxpool.ParseConfig(url)
		if err != nil {
			return err
		}
		cfg.MaxConns = postgresPool
		pool, err := pgxpool.NewWithConfig(ctx, cfg)
		if err != nil {
			return err
		}
		defer pool.Close()
		postgresFloors(app, pool)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return app.Listener(l)
}

// identity is the small answer of every floor.
type identity struct {
	Subject string `json:"subject"`
	Email   string `json:"email"`
	Expires int64  `json:"expires"`
}

// digestOf is the one thing that every bearer request has to compute.
func digestOf(c *fiber.Ctx) [32]byte {
	return sha256.Sum256([]byte(strings.TrimPrefix(c.Get(fiber.HeaderAuthorization), "Bearer ")))
}

func contextKey(digest [32]byte) string { return "ctx:" + hex.EncodeToString(digest[:]) }

func redisFloors(app *fiber.App, client *redis.Client) {
	app.Get("/get", func(c *fiber.Ctx) error {
		value, err := client.Get(c.UserContext(), contextKey(digestOf(c))).Bytes()
		if err != nil {
			return err
		}
		c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
		return c.Send(value)
	})
	// A device code is an entry that nobody has and a record beside it.
	app.Post("/code", func(c *fiber.Ctx) error {
		id := string(c.Request().Body())
		pipe := client.Pipeline()
		pipe.SetArgs(c.UserContext(), "u:"+id, id, redis.SetArgs{Mode: "NX", TTL: 15 * time.Minute})
		pipe.HSet(c.UserContext(), "g:"+id, grantFields...)
		if _, err := pipe.Exec(c.UserContext()); err != nil {
			return err
		}
		return c.JSON(identity{id, "", 900})
	})
	// A poll reads the record and writes when it was.
	app.Post("/poll", func(c *fiber.Ctx) error {
		key := "p:" + string(c.Request().Body())
		pipe := client.Pipeline()
		read := pipe.HMGet(c.UserContext(), key, "status", "expires_at", "interval", "last_poll")
		pipe.HSet(c.UserContext(), key, "last_poll", time.Now().UnixMilli())
		if _, err := pipe.Exec(c.UserContext()); err != nil {
			return err
		}
		return c.JSON(identity{fmt.Sprint(read.Val()[0]), "", 5})
	})
}

// grantFields has the size of a stored grant.
var grantFields = []any{
	"v", 1, "client_id", "difyctl", "label", "bench", "user_mac", strings.Repeat("0", 64), "status", "pending", "created_at", 1764000000000,
	"expires_at", 1764000900000, "created_ip", "127.0.0.1", "interval", 5000, "last_poll", 0,
}

const (
	floorSelect = `SELECT t.id, t.subject_email, t.subject_issuer, t.subject_id, t.client_id, t.device_label, t.prefix, t.created_at, t.expires_at
		FROM oauth_access_tokens t WHERE t.token_hash = $1 AND t.revoked_at IS NULL`
	floorUpsert = `INSERT INTO oauth_access_tokens
		(id, subject_email, subject_issuer, subject_id, account_id, client_id, device_label, prefix, token_hash, created_at, expires_at, approved_at, grant_ref)
		VALUES ($1, $2, 'dify:account', $3, $3, 'difyctl', 'device', 'dfoa_', $4, $5, $6, $5, $4)
		ON CONFLICT (subject_email, subject_issuer, client_id, device_label) WHERE revoked_at IS NULL
		DO UPDATE SET previous_hash = oauth_access_tokens.token_hash, token_hash = excluded.token_hash, created_at = excluded.created_at,
			expires_at = excluded.expires_at, approved_at = excluded.approved_at, last_used_at = NULL, grant_ref = excluded.grant_ref
		RETURNING id`
)

func postgresFloors(app *fiber.App, pool *pgxpool.Pool) {
	app.Get("/select", func(c *fiber.Ctx) error {
		var (
			s         [7]string
			from, end time.Time
			digest    = digestOf(c)
		)
		err := pool.QueryRow(c.UserContext(), floorSelect, digest[:]).Scan(&s[0], &s[1], &s[2], &s[3], &s[4], &s[5], &s[6], &from, &end)
		if err != nil {
			return err
		}
		return c.JSON(identity{s[3], s[1], end.Unix()})
	})
	app.Post("/upsert", func(c *fiber.Ctx) error {
		i, err := strconv.Atoi(string(c.Request().Body()))
		if err != nil {
			return err
		}
		now, id := time.Now().UTC(), ""
		digest := sha256.Sum256([]byte(strconv.FormatInt(now.UnixNano(), 36) + strconv.Itoa(i)))
		err = pool.QueryRow(c.UserContext(), floorUpsert, rowID(1<<40+i), emailOf(i%people), accountID(i%people), digest[:], now, now.Add(tokenLife)).Scan(&id)
		if err != nil {
			return err
		}
		return c.JSON(identity{id, "", now.Unix()})
	})
}
