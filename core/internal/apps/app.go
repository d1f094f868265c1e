// SPDX-License-Identifier: Apache-2.0

package apps

import (
	"slices"
	"time"

	"github.com/dify-sso/dify-sso/core/internal/workspace"
)

// Mode is what kind of app it is.
type Mode string

// The modes. The last three are listed and never run.
const (
	Chat         Mode = "chat"
	AgentChat    Mode = "agent-chat"
	AdvancedChat Mode = "advanced-chat"
	Completion   Mode = "completion"
	Workflow     Mode = "workflow"
	Agent        Mode = "agent"
	Channel      Mode = "channel"
	RAGPipeline  Mode = "rag-pipeline"
)

// Modes are all there are.
var Modes = []Mode{Chat, AgentChat, AdvancedChat, Completion, Workflow, Agent, Channel, RAGPipeline}

// Known reports a mode of the catalogue.
func (m Mode) Known() bool { return slices.Contains(Modes, m) }

// Runnable reports whether apps of this mode run.
func (m Mode) Runnable() bool { return m.Chats() || m == Completion || m == Workflow }

// Chats reports whether apps of this mode hold conversations.
func (m Mode) Chats() bool { return m == Chat || m == AgentChat || m == AdvancedChat }

// Access says who may use an app (docs/specs/v1.0/server/apps.md, Access modes).
type Access string

// The access modes. The first two let people without an account in, and exist in the
// Enterprise Edition alone.
const (
	Public      Access = "public"
	SSOVerified Access = "sso_verified"
	InternalAll Access = "internal_all"
	Internal    Access = "internal"
)

// Known reports an access mode of the catalogue.
func (a Access) Known() bool { return a.External() || a == InternalAll || a == Internal }

// External reports whether people without an account may use such an app.
func (a Access) External() bool { return a == Public || a == SSOVerified }

// Status is the life of an app.
type Status string

// The statuses.
const (
	StatusNormal   Status = "normal"
	StatusArchived Status = "archived"
)

// Runtime is what carries an app's work out.
type Runtime string

// The runtimes: one that speaks Dify's Service API, and one in this process for
// development and tests.
const (
	RuntimeDify Runtime = "dify"
	RuntimeEcho Runtime = "echo"
)

// Features are what a runtime is said to offer beyond runs.
type Features struct {
	// DSL: it imports and exports apps, and is asked for neither without.
	DSL bool
	// HumanInput: its workflows pause for people. Forms are asked for all the same: who has
	// a form's token has it from the runtime. This says whose fault it is that there are
	// none.
	HumanInput bool
}

// App is a row of the registry.
type App struct {
	ID          string
	WorkspaceID string
	Name        string
	Description string
	Mode        Mode
	Tags        []string
	Author      string
	Runtime     Runtime
	// RuntimeURL is the base address of the runtime; empty for echo.
	RuntimeURL string
	// SealedKey is the app's key at its runtime, sealed for KeyPlace; empty for none.
	SealedKey string
	// RuntimeConfig is JSON that the echo runtime reads; empty for none.
	RuntimeConfig string
	Features      Features
	APIEnabled    bool
	Access        Access
	// MaxActive is how many runs go on at once; 0 takes APP_DEFAULT_ACTIVE_REQUESTS.
	MaxActive int
	Status    Status
	// CreatedBy is the account that has made the app, empty for a command.
	CreatedBy string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// KeyPlace is what an app's key is sealed for: a value that was moved elsewhere does not
// open.
func KeyPlace(appID string) string { return "apps/" + appID + "/runtime_key_sealed" }

// Place is an app as somebody who asks for it stands to it, by one read.
type Place struct {
	App       App
	Workspace workspace.Workspace
	// Role is the asking account's in the app's workspace; empty for who is no member.
	Role workspace.Role
	// Listed: the account is on the app's list of access.
	Listed bool
}

// Summary is an app as lists show it.
type Summary struct {
	App
	WorkspaceName string
	// CreatedByName is empty where no account has made it.
	CreatedByName string
}
