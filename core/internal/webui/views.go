// SPDX-License-Identifier: Apache-2.0

package webui

import "time"

// View is what one page shows; each kind has a template of its own.
type View interface{ template() string }

// Person is who is signed in.
type Person struct{ Name, Email string }

// Frame is what every page shows around its view.
type Frame struct {
	Lang string
	// Switch is the address of this page in the other language.
	Switch  string
	Account *Person
	// CSRFToken stands in every form.
	CSRFToken string
	RequestID string
	Now       time.Time
	// ReturnTo is where a sign-out from this page leads after the next sign-in.
	ReturnTo string
}

// Problem is a refused field: Key names the message, Args fill it.
type Problem struct {
	Field string
	Key   string
	Args  []any
}

// Setup is the form that creates the first owner.
type Setup struct {
	Code, Email, Name, Workspace string
	MinPassword                  int
	Problems                     []Problem
}

// SignIn is the sign-in form. Code is shown when a device waits behind it.
type SignIn struct {
	Email    string
	ReturnTo string
	Code     string
	Refused  bool
	// Wait is above zero when too many tries came.
	Wait int
}

// DeviceEntry asks for the user code. Linked is one that an address brought.
type DeviceEntry struct {
	Invalid bool
	Linked  string
}

// DeviceAuthorize is the page that decides. Everything a client or person named is
// foreign text.
type DeviceAuthorize struct {
	UserCode  string
	ClientID  string
	Label     string
	Address   string
	StartedAt time.Time
	ExpiresAt time.Time
	TokenEnds time.Time
	Workspace string
	// Linked asks for a tick beside the decision: nobody has typed the code.
	Linked   bool
	Problems []Problem
}

// Outcome names how a device page ended.
type Outcome string

// The outcomes.
const (
	Approved Outcome = "approved"
	Denied   Outcome = "denied"
	Expired  Outcome = "expired"
	Limited  Outcome = "limited"
	Failed   Outcome = "failed"
	// SessionGone: the page for a company identity no longer decides.
	SessionGone Outcome = "session_gone"
)

// DeviceOutcome is an end view. Wait belongs to Limited.
type DeviceOutcome struct {
	Outcome Outcome
	Wait    int
}

// Device is a row of the sessions page.
type Device struct {
	ID, Label, ClientID, Address string
	CreatedAt, ExpiresAt         time.Time
	LastUsedAt                   *time.Time
}

// Browser is a row of the sessions page.
type Browser struct {
	// Name is what BrowserName made of its User-Agent.
	ID, Name, Address  string
	SignedInAt, SeenAt time.Time
	Current            bool
}

// Sessions lists what an account is signed in on. Public is the address in the
// command that adds a device.
type Sessions struct {
	Devices  []Device
	More     int // devices beyond those listed
	Browsers []Browser
	Public   string
	Ended    bool
}

// ConfirmEnd asks once more: Kind is device, browser or others. At is the page that
// the answer comes back to; the form stands under it.
type ConfirmEnd struct{ At, Kind, ID, Name string }

// SecurityDone names what was done on the security page.
type SecurityDone string

// What the security page tells of.
const (
	PasswordChanged    SecurityDone = "changed"
	PasswordAndDevices SecurityDone = "changed_all"
	OthersEnded        SecurityDone = "ended"
)

// Security is where the password is changed and everything else ended.
type Security struct {
	MinPassword  int
	RevokeTokens bool
	Problems     []Problem
	// Wait is above zero when too many tries came.
	Wait int
	Done SecurityDone
}

// Failure is an error page: Kind names the messages, Wait belongs to limited.
type Failure struct {
	Kind FailureKind
	Wait int
}

// FailureKind groups statuses by what a person can do.
type FailureKind string

// The kinds of error page.
const (
	NotFound   FailureKind = "not_found"
	Forbidden  FailureKind = "forbidden"
	OutOfDate  FailureKind = "csrf"
	TooMany    FailureKind = "limited"
	BadRequest FailureKind = "request"
	Server     FailureKind = "server"
	// Disabled: ENABLE_OAUTH_BEARER is off.
	Disabled FailureKind = "disabled"
	// Halfway: the password is the new one, and some of its consequences come later.
	Halfway FailureKind = "halfway"
	// Activated: the same of a new account.
	Activated FailureKind = "activated"
	// InviteDead: whatever the reason.
	InviteDead    FailureKind = "invite"
	RoleTooSmall  FailureKind = "role"
	NotChangeable FailureKind = "member"
)

func (Setup) template() string           { return "setup" }
func (SignIn) template() string          { return "signin" }
func (DeviceEntry) template() string     { return "device_entry" }
func (DeviceAuthorize) template() string { return "device_authorize" }
func (DeviceOutcome) template() string   { return "device_outcome" }
func (Sessions) template() string        { return "sessions" }
func (Security) template() string        { return "security" }
func (ConfirmEnd) template() string      { return "confirm_end" }
func (Failure) template() string         { return "failure" }
